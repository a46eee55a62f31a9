/*
 * neighbour.c
 *	  another extension with a ClientAuthentication hook, for the tests of azure_ad_auth
 *
 * Says in the log what status it is given. With neighbour.manners = 'rude' it does not call the hook that was there before
 * it; with 'slow' it waits, after calling it, while the file neighbour.file exists; with 'early' before.
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

static void
on_client_authentication(Port *port, int status)
{
	if (strcmp(manners, "rude") == 0)
		return;
	if (strcmp(manners, "early") == 0 && access(file, F_OK) == 0)
	{
		ereport(LOG, (errmsg("neighbour: role=%s waits", port->user_name)));
		while (access(file, F_OK) == 0)
			pg_usleep(10000L);
	}
	if (previous)
		previous(port, status);
	ereport(LOG, (errmsg("neighbour: role=%s status=%d", port->user_name, status)));
	if (strcmp(manners, "slow") == 0)
	{
		while (access(file, F_OK) == 0)
			pg_usleep(10000L);
	}
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
