import psycopg
import scenario


def log_in(role, token):
    # shown: psycopg
    with psycopg.connect(user=role, password=token()) as connection:
        # end
        return connection.execute("SELECT session_user").fetchone()[0]


scenario.run(log_in)
