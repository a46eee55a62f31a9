/*
 * witness.c
 *	  a library for session_preload_libraries, for the tests of azure_ad_auth
 *
 * Compiled with -DNAME=x it is the library x, and the setting x.analyses says how many statements it has seen analysed.
 */
#include "postgres.h"

#include "fmgr.h"
#include "parser/analyze.h"
#include "utils/guc.h"

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

PG_MODULE_MAGIC;

void		_PG_init(void);

static post_parse_analyze_hook_type previous = NULL;
static int	analyses = 0;
static int	unused = 0;
static char shown[16];

static void
on_analysis(ParseState *state, Query *query, JumbleState *jumble)
{
	analyses++;
	if (previous)
		previous(state, query, jumble);
}

static const char *
show_analyses(void)
{
	snprintf(shown, sizeof(shown), "%d", analyses);
	return shown;
}

void
_PG_init(void)
{
	DefineCustomIntVariable(TEXT(NAME) ".analyses", "How many statements it has seen analysed.", NULL, &unused, 0, 0, 0,
							PGC_USERSET, 0, NULL, NULL, show_analyses);
	previous = post_parse_analyze_hook;
	post_parse_analyze_hook = on_analysis;
}
