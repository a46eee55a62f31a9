import contextlib

import psycopg
import scenario


@contextlib.contextmanager
def clients(role, token):
    @contextlib.contextmanager
    def connect():
        # shown: psycopg
        with psycopg.connect(user=role, password=token()) as connection:
            # end
            yield connection

    yield connect


scenario.run(clients)
