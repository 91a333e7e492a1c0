// MariaDB's Connector/J as its users use it. Prints the same, directly and through the proxy, where no column is masked.
import java.io.ByteArrayInputStream;
import java.sql.*;
import java.util.*;

public class Main {
    static final Map<String, String> ENV = System.getenv();

    static Connection connect(String options) throws SQLException {
        String url = "jdbc:mariadb://" + ENV.get("MYSQL_HOST") + ":" + ENV.get("MYSQL_PORT") + "/" + ENV.get("MYSQL_DATABASE");
        String more = ENV.getOrDefault("MYSQL_OPTIONS", "");
        return DriverManager.getConnection(url + "?allowPublicKeyRetrieval=true" + more + options, ENV.get("MYSQL_USER"), ENV.get("MYSQL_PASSWORD"));
    }

    static void show(ResultSet rows) throws SQLException {
        ResultSetMetaData columns = rows.getMetaData();
        while (rows.next()) {
            StringJoiner line = new StringJoiner("|");
            for (int i = 1; i <= columns.getColumnCount(); i++) {
                Object value = rows.getObject(i);
                line.add(value instanceof byte[] ? Arrays.toString((byte[]) value) : String.valueOf(value));
            }
            System.out.println(line);
        }
    }

    // What the proxy finds out by itself has the server's number, and words of its own.
    static void fails(Statement statement, String sql) {
        try {
            statement.execute(sql);
            System.out.println("works " + sql);
        } catch (SQLException error) {
            System.out.println(error.getErrorCode() + " " + error.getSQLState() + " " + error.getClass().getSimpleName());
        }
    }

    static void types() throws SQLException {
        for (String options : List.of("", "&useServerPrepStmts=true", "&useServerPrepStmts=true&useCursorFetch=true")) {
            try (Connection db = connect(options); PreparedStatement all = db.prepareStatement("SELECT * FROM shop.types WHERE id < ? ORDER BY id")) {
                all.setInt(1, 10);
                all.setFetchSize(2);
                show(all.executeQuery());
                ResultSetMetaData columns = all.getMetaData();
                for (int i = 1; i <= columns.getColumnCount(); i++) System.out.print(columns.getColumnTypeName(i) + columns.getPrecision(i) + " ");
                System.out.println();
            }
        }
        try (Connection db = connect(""); Statement statement = db.createStatement()) {
            statement.setFetchSize(10);
            ResultSet rows = statement.executeQuery("SELECT a.id FROM shop.orders a JOIN shop.orders b");
            int count = 0;
            while (rows.next()) count++;
            System.out.println(count);
            DatabaseMetaData meta = db.getMetaData();
            System.out.println(meta.getDatabaseProductName() + " " + meta.getDatabaseMajorVersion());
            ResultSet columns = meta.getColumns("shop", null, "types", "%");
            while (columns.next()) System.out.print(columns.getString("COLUMN_NAME") + " ");
            ResultSet keys = meta.getPrimaryKeys("shop", null, "types");
            while (keys.next()) System.out.println(keys.getString("COLUMN_NAME"));
            System.out.println(db.isValid(2) + " " + db.getCatalog() + " " + db.getTransactionIsolation());
        }
    }

    static void writes() throws SQLException {
        for (String options : List.of("", "&rewriteBatchedStatements=true", "&useServerPrepStmts=true", "&useBulkStmts=true&useServerPrepStmts=true", "&useBatchMultiSend=true")) {
            try (Connection db = connect(options); Statement statement = db.createStatement()) {
                db.setAutoCommit(false);
                try (PreparedStatement insert = db.prepareStatement("INSERT INTO shop.t (name, note) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                    for (int i = 0; i < 50; i++) {
                        insert.setString(1, "java ü " + i);
                        insert.setString(2, i % 2 == 0 ? null : "it's");
                        insert.addBatch();
                    }
                    System.out.println(insert.executeBatch().length);
                    ResultSet keys = insert.getGeneratedKeys();
                    System.out.println(keys.next() && keys.getLong(1) > 0);
                }
                show(statement.executeQuery("SELECT COUNT(*), COUNT(note), MIN(name) FROM shop.t WHERE name LIKE 'java%'"));
                Savepoint point = db.setSavepoint("here");
                System.out.println(statement.executeUpdate("DELETE FROM shop.t WHERE name LIKE 'java ü 1%'"));
                db.rollback(point);
                db.commit();
                System.out.println(statement.executeUpdate("DELETE FROM shop.t WHERE name LIKE 'java%'"));
                db.commit();
                for (int i = 0; i < 3; i++) statement.addBatch("INSERT INTO shop.t (name) VALUES ('java " + i + "')");
                System.out.println(Arrays.toString(statement.executeBatch()));
                db.rollback();
                fails(statement, "INSERT INTO shop.t (id, name) VALUES (1, 'twice')");
                fails(statement, "SELECT nothing FROM shop.t");
                fails(statement, "SELECT * FROM shop.missing");
                db.rollback();
            }
        }
    }

    static void several() throws SQLException {
        try (Connection db = connect("&allowMultiQueries=true"); Statement statement = db.createStatement()) {
            boolean rows = statement.execute("SELECT 1; UPDATE shop.t SET note = 'eins' WHERE id = 1; SELECT 'z', 2");
            while (rows || statement.getUpdateCount() != -1) {
                if (rows) show(statement.getResultSet()); else System.out.println(statement.getUpdateCount());
                rows = statement.getMoreResults();
            }
            try (CallableStatement call = db.prepareCall("{call several(?)}")) {
                call.setInt(1, 2);
                rows = call.execute();
                while (rows) {
                    show(call.getResultSet());
                    rows = call.getMoreResults();
                }
            }
            db.setReadOnly(true);
            db.setReadOnly(false);
            db.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            db.setCatalog("shop");
            show(statement.executeQuery("SELECT DATABASE(), @@session.autocommit"));
        }
    }

    static void files() throws SQLException {
        try (Connection db = connect("&allowLocalInfile=true"); Statement statement = db.createStatement()) {
            StringBuilder lines = new StringBuilder();
            for (int i = 0; i < 5000; i++) lines.append(i).append(",file ").append(i).append('\n');
            statement.unwrap(org.mariadb.jdbc.MariaDbStatement.class).setLocalInfileInputStream(new ByteArrayInputStream(lines.toString().getBytes()));
            System.out.println(statement.executeUpdate("LOAD DATA LOCAL INFILE 'stream' INTO TABLE shop.t FIELDS TERMINATED BY ',' (note, name)"));
            System.out.println(statement.executeUpdate("DELETE FROM shop.t WHERE name LIKE 'file%'"));
        }
    }

    public static void main(String[] words) throws SQLException {
        for (String name : ENV.getOrDefault("PARTS", "types,writes,several,files").split(",")) {
            System.out.println("== " + name);
            switch (name) {
                case "types": types(); break;
                case "writes": writes(); break;
                case "several": several(); break;
                default: files();
            }
        }
    }
}
