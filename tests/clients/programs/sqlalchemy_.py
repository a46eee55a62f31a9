import scenario
import sqlalchemy


def log_in(role, token):
    # shown: sqlalchemy
    engine = sqlalchemy.create_engine("postgresql+psycopg://")

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def give_token(_dialect, _record, _arguments, parameters):
        parameters.update(user=role, password=token())

    with engine.connect() as connection:
        # end
        return connection.exec_driver_sql("SELECT session_user").scalar()


scenario.run(log_in)
