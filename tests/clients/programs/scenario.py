"""Reads logins from standard input, tries each, and prints a line for each: what came of it.

A line names a role and a file with its token. Address and certificate come from the environment,
in libpq's variables: PGHOST, PGPORT, PGDATABASE, PGSSLMODE, PGSSLROOTCERT.
"""

import asyncio
import inspect
import sys


def run(log_in):
    """Calls log_in(role, token) for every line; it returns what the session's user is."""
    for line in sys.stdin:
        role, file = line.rstrip("\n").split("\t")

        def token():
            with open(file, encoding="ascii") as text:
                return text.read()

        try:
            user = log_in(role, token)
            print("ok", asyncio.run(user) if inspect.isawaitable(user) else user, sep="\t", flush=True)
        except Exception as error:  # what a user of this driver reads, whatever its class
            print("error", " ".join(str(error).split()), sep="\t", flush=True)
