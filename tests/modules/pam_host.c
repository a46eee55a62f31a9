/* Loads a PAM module as libpam does, and has it authenticate nobody. */
#include <dlfcn.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
	int			(*authenticate) (void *, int, int, const char **);
	void	   *module = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;

	if (module == NULL)
	{
		printf("not loaded: %s\n", dlerror());
		return 0;
	}
	*(void **) &authenticate = dlsym(module, "pam_sm_authenticate");
	if (authenticate == NULL)
		return 1;
	printf("answer: %d\n", authenticate(NULL, 0, 0, NULL));
	return 0;
}
