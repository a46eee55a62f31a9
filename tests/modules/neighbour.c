/*
 * neighbour.c
 *	  another extension with a ClientAuthentication hook, for the tests of azure_ad_auth
 *
 * Says in the log what status it is given. With neighbour.manners = 'rude' it does not call the hook that was there before
 * it; with 'slow' it waits, after calling it, while the file neighbour.file exists; with 'early' before, and 'rude' does too;
 * with 'twice' before, and afterwards while there is a file of that name with '.2' at its end. The role postgres need never wait.
 */
#include "postgres.h"
#undef ENABLE_GSS
#undef USE_OPENSSL

#include <unistd.h>

#include "fmgr.h"
#include "libpq/auth.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static ClientAuthentication_hook_type previous = NULL;
static char *manners = NULL;
static char *file = NULL;

static bool
behaves(const char *how)
{
	return strcmp(manners, how) == 0;
}

static bool
is_to_wait(Port *port, const char *name)
{
	return strcmp(port->user_name, "postgres") != 0 && access(name, F_OK) == 0;
}

static void
wait_while_there_is(Port *port, const char *name)
{
	while (is_to_wait(port, name))
		pg_usleep(10000L);
}

static void
on_client_authentication(Port *port, int status)
{
	bool		early = behaves("early") || behaves("rude") || behaves("twice");

	if (early && is_to_wait(port, file))
	{
		ereport(LOG, (errmsg("neighbour: role=%s waits", port->user_name)));
		wait_while_there_is(port, file);
	}
	if (behaves("rude"))
		return;
	if (previous)
		previous(port, status);
	ereport(LOG, (errmsg("neighbour: role=%s status=%d", port->user_name, status)));
	if (behaves("slow"))
		wait_while_there_is(port, file);
	if (behaves("twice"))
		wait_while_there_is(port, psprintf("%s.2", file));
}

void
_PG_init(void)
{
	DefineCustomStringVariable("neighbour.manners", "How it behaves.", NULL, &manners, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("neighbour.file", "What it waits for.", NULL, &file, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	previous = ClientAuthentication_hook;
	ClientAuthentication_hook = on_client_authentication;
}
