import contextlib
import os

import django
import scenario
from django.conf import settings
from django.db.backends.postgresql.base import DatabaseWrapper

settings.configure()
django.setup()


@contextlib.contextmanager
def clients(role, token):
    # shown: django
    class WithToken(DatabaseWrapper):  # the class DatabaseWrapper of your own database engine
        def get_connection_params(self):
            return {**super().get_connection_params(), "password": token()}

    # end
    options = {"sslmode": os.environ["PGSSLMODE"], "sslrootcert": os.environ["PGSSLROOTCERT"]}
    place = {"HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"], "NAME": os.environ["PGDATABASE"]}
    usual = {"PASSWORD": "", "TIME_ZONE": None, "CONN_MAX_AGE": 0, "AUTOCOMMIT": True, "ATOMIC_REQUESTS": False}
    usual |= {"CONN_HEALTH_CHECKS": False, "TEST": {}}

    @contextlib.contextmanager
    def connect():
        wrapper = WithToken({**usual, **place, "USER": role, "OPTIONS": options})
        wrapper.ensure_connection()
        yield wrapper.connection
        wrapper.close()

    yield connect


scenario.run(clients)
