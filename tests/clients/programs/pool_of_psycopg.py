import contextlib

import psycopg
import psycopg_pool
import scenario


@contextlib.contextmanager
def clients(role, token):
    with psycopg.connect(user=role, password=token()):
        pass  # the pool would retry a refused login and hide why

    # shown: psycopg_pool
    class WithToken(psycopg.Connection):
        @classmethod
        def connect(cls, conninfo="", **options):
            return super().connect(conninfo, password=token(), **options)

    with psycopg_pool.ConnectionPool(
        connection_class=WithToken, kwargs={"user": role}, min_size=1, max_size=2, open=True
    ) as pool:
        # end
        pool.wait()  # or it opens a second one at once
        yield pool.connection


scenario.run(clients)
