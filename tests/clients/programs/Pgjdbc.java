import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import org.postgresql.plugin.AuthenticationPlugin;
import org.postgresql.plugin.AuthenticationRequestType;

/** The same as scenario.py, for pgjdbc. */
public class Pgjdbc {
    static final String TOKEN = "SELECT azure_ad_auth.session_claims() ->> 'uti'";
    static final String SLEEP = "SELECT pg_sleep(600)";
    static final String SLEEPS =
            "SELECT count(*) FROM pg_stat_activity WHERE query = '" + SLEEP + "' AND state = 'active'";

    static String file;

    // shown: pgjdbc
    public static class Token implements AuthenticationPlugin {
        public Token(Properties properties) {}

        @Override
        public char[] getPassword(AuthenticationRequestType type) {
            return token().toCharArray();
        }
    }
    // end

    static String token() {
        try {
            return Files.readString(Path.of(file));
        } catch (java.io.IOException fault) {
            throw new IllegalStateException(fault);
        }
    }

    static Connection connect(String role) throws SQLException {
        var properties = new Properties();
        properties.setProperty("user", role);
        properties.setProperty("sslmode", "verify-full");
        properties.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
        properties.setProperty("authenticationPluginClassName", "Pgjdbc$Token");
        var addresses = new StringBuilder();
        for (var port : System.getenv("PGPORT").split(",")) {
            addresses.append(addresses.length() == 0 ? "" : ",").append("localhost:").append(port);
        }
        return DriverManager.getConnection("jdbc:postgresql://" + addresses + "/postgres", properties);
    }

    static String ask(Connection connection, String query) throws SQLException {
        try (var statement = connection.createStatement(); var rows = statement.executeQuery(query)) {
            rows.next();
            return rows.getString(1);
        }
    }

    static String cancel(Connection one, Connection other) throws Exception {
        var statement = one.createStatement();
        var refused = CompletableFuture.supplyAsync(() -> {
            try {
                statement.executeQuery(SLEEP);
                return "it slept";
            } catch (SQLException error) {
                return error.getMessage();
            }
        });
        while (ask(other, SLEEPS).equals("0")) {}
        statement.cancel();
        var said = refused.get();
        if (!said.contains("canceling statement due to user request")) throw new IllegalStateException(said);
        return "canceled " + ask(one, "SELECT session_user");
    }

    static String play(String[] parts) throws Exception {
        file = parts[2];
        try (var one = connect(parts[1])) {
            if (parts[0].equals("login")) return ask(one, "SELECT session_user");
            if (parts[0].equals("refresh")) file = parts[3];
            try (var other = connect(parts[1])) {
                if (parts[0].equals("refresh")) return ask(one, TOKEN) + " " + ask(other, TOKEN);
                return cancel(one, other);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = input.readLine()) != null; ) {
            try {
                System.out.println("ok\t" + play(line.split("\t")));
            } catch (Exception error) {
                System.out.println("error\t" + error.getMessage().replaceAll("\\s+", " "));
            }
            System.out.flush();
        }
    }
}
