import contextlib

import psycopg2
import scenario


@contextlib.contextmanager
def clients(role, token):
    @contextlib.contextmanager
    def connect():
        # shown: psycopg2
        with psycopg2.connect(user=role, password=token()) as connection:
            # end
            yield connection

    yield connect


scenario.run(clients)
