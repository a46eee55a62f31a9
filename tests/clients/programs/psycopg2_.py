import psycopg2
import scenario


def log_in(role, token):
    # shown: psycopg2
    with psycopg2.connect(user=role, password=token()) as connection:
        # end
        with connection.cursor() as cursor:
            cursor.execute("SELECT session_user")
            return cursor.fetchone()[0]


scenario.run(log_in)
