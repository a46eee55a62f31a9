import contextlib

import scenario
import sqlalchemy


@contextlib.contextmanager
def clients(role, token):
    # shown: sqlalchemy
    engine = sqlalchemy.create_engine("postgresql+psycopg://")

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def give_token(_dialect, _record, _arguments, parameters):
        parameters.update(user=role, password=token())

    # end
    @contextlib.contextmanager
    def connect():
        with engine.connect() as connection:
            yield connection.connection.dbapi_connection

    yield connect
    engine.dispose()


scenario.run(clients)
