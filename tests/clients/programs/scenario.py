"""Reads scenarios from standard input, plays each, and prints a line for each: what came of it.

A line names a scenario, a role, and files with tokens: the one to begin with, and for `refresh` the
one that follows it. Addresses and certificate come from the environment, in libpq's variables.
"""

import contextlib
import sys
import threading

USER = "SELECT session_user"
TOKEN = "SELECT azure_ad_auth.session_claims() ->> 'uti'"
SLEEP = "SELECT pg_sleep(600)"
SLEEPS = f"SELECT count(*) FROM pg_stat_activity WHERE query = '{SLEEP}' AND state = 'active'"


def ask(connection, query):
    """Returns what a query answers, by a connection of the DB-API."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def log_in(connect, _tokens):
    with connect() as connection:
        return ask(connection, USER)


def refresh(connect, tokens):
    """Opens a second connection, after the token has been replaced."""
    with connect() as one:
        tokens.pop(0)
        with connect() as other:
            return f"{ask(one, TOKEN)} {ask(other, TOKEN)}"


def cancel(connect, _tokens):
    with connect() as connection:
        ended = threading.Event()

        def insist():
            while not ended.wait(0.1):
                connection.cancel()

        canceler = threading.Thread(target=insist)
        canceler.start()
        try:
            ask(connection, SLEEP)
        except Exception as error:
            if "canceling statement due to user request" not in str(error):
                raise
        finally:
            ended.set()
            canceler.join()
        connection.rollback()
        return f"canceled {ask(connection, USER)}"


def run(clients):
    """Plays all scenarios. clients(role, token) is a context: a function that opens connections."""

    def play(name, role, tokens):
        with clients(role, lambda: read(tokens[0])) as connect:
            return {"login": log_in, "refresh": refresh, "cancel": cancel}[name](connect, tokens)

    run_each(play)


def run_each(play):
    """Calls play(scenario, role, files) for every line, and prints what it returns."""
    for line in sys.stdin:
        name, role, *tokens = line.rstrip("\n").split("\t")
        try:
            print("ok", play(name, role, tokens), sep="\t", flush=True)
        except Exception as error:  # what a user of this driver reads, whatever its class
            print("error", " ".join(str(error).split()), sep="\t", flush=True)


def read(file):
    with open(file, encoding="ascii") as text:
        return text.read()
