import psycopg
import psycopg_pool
import scenario


def log_in(role, token):
    with psycopg.connect(user=role, password=token()):
        pass  # the pool would retry a refused login and hide why

    # shown: psycopg_pool
    class WithToken(psycopg.Connection):
        @classmethod
        def connect(cls, conninfo="", **options):
            return super().connect(conninfo, password=token(), **options)

    with psycopg_pool.ConnectionPool(
        connection_class=WithToken, kwargs={"user": role}, min_size=1, open=True
    ) as pool, pool.connection() as connection:
        # end
        return connection.execute("SELECT session_user").fetchone()[0]


scenario.run(log_in)
