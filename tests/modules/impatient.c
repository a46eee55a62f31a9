/*
 * impatient.c
 *	  another extension with a ProcessUtility hook, for the tests of azure_ad_auth
 *
 * Named after azure_ad_auth in shared_preload_libraries, its hook comes first. With impatient.wants = 'cancel' it has every
 * statement about roles cancelled as soon as anybody looks, with 'end' the session ended: what follows must look.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static ProcessUtility_hook_type previous = NULL;
static char *wants = NULL;

static void
on_utility(PlannedStmt *planned, const char *source, bool read_only, ProcessUtilityContext context,
		   ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver,
		   QueryCompletion *completion)
{
	Node	   *statement = planned->utilityStmt;

	if (IsA(statement, GrantRoleStmt) || IsA(statement, CreateRoleStmt) || IsA(statement, DropRoleStmt))
	{
		if (strcmp(wants, "cancel") == 0)
			QueryCancelPending = InterruptPending = true;
		if (strcmp(wants, "end") == 0)
			ProcDiePending = InterruptPending = true;
	}
	if (previous)
		previous(planned, source, read_only, context, parameters, environment, receiver, completion);
	else
		standard_ProcessUtility(planned, source, read_only, context, parameters, environment, receiver, completion);
}

void
_PG_init(void)
{
	DefineCustomStringVariable("impatient.wants", "What it asks for.", NULL, &wants, "",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	previous = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}
