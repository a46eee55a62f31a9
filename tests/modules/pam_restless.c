/* A PAM module that starts a thread, or opens a file, when it is loaded. */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#ifdef THREAD
static void *
sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}
#endif

__attribute__((constructor)) static void
on_load(void)
{
#ifdef THREAD
	pthread_t	thread;

	pthread_create(&thread, NULL, sleep_on, NULL);
#else
	open("/dev/null", O_RDONLY);
#endif
}
