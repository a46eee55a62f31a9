import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.DriverManager;
import java.util.Properties;
import org.postgresql.plugin.AuthenticationPlugin;
import org.postgresql.plugin.AuthenticationRequestType;

/** The same as scenario.py, for pgjdbc. */
public class Pgjdbc {
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

    public static void main(String[] arguments) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = input.readLine()) != null; ) {
            var parts = line.split("\t");
            file = parts[1];
            var properties = new Properties();
            properties.setProperty("user", parts[0]);
            properties.setProperty("sslmode", "verify-full");
            properties.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
            properties.setProperty("authenticationPluginClassName", "Pgjdbc$Token");
            var address = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/postgres";
            try (var connection = DriverManager.getConnection(address, properties);
                    var rows = connection.createStatement().executeQuery("SELECT session_user")) {
                rows.next();
                System.out.println("ok\t" + rows.getString(1));
            } catch (java.sql.SQLException error) {
                System.out.println("error\t" + error.getMessage().replaceAll("\\s+", " "));
            }
        }
    }
}
