"""PyMySQL as its users use it. Prints the same, directly and through the proxy, where no column is masked."""
import os
import sys
import tempfile

import pymysql
import pymysql.cursors

LOGIN = dict(
    host=os.environ["MYSQL_HOST"], port=int(os.environ["MYSQL_PORT"]), user=os.environ["MYSQL_USER"],
    password=os.environ["MYSQL_PASSWORD"], database=os.environ["MYSQL_DATABASE"])
# The schema is called so on both sides; the proxy's login names a target, too.
TYPES = "SELECT * FROM shop.types ORDER BY id"


def connect(**more):
    return pymysql.connect(**{**LOGIN, "charset": "utf8mb4", **more})


def say(*what):
    print(*what)


def fails(cursor, sql, words=True):
    """What the proxy finds out by itself has the server's number, and words of its own."""
    try:
        cursor.execute(sql)
        say("works:", sql)
    except pymysql.MySQLError as error:
        say(type(error).__name__, error.args if words else error.args[0])


def types():
    with connect() as db, db.cursor() as cursor:
        cursor.execute(TYPES)
        say([column[:2] for column in cursor.description])
        for row in cursor:
            say(row)
    with connect(cursorclass=pymysql.cursors.SSDictCursor) as db, db.cursor() as cursor:
        cursor.execute("SELECT id, name, note FROM shop.t WHERE id = %s OR name LIKE %s", (1, "ü%"))
        say(cursor.fetchone(), cursor.fetchall())
        cursor.execute(TYPES)
        say(cursor.fetchone())
        # The rest of the result is read when the cursor closes.


def writes():
    with connect() as db, db.cursor() as cursor:
        say(cursor.execute("INSERT INTO shop.t (name, note) VALUES (%s, %s)", ("grün", "a 'quote' \\ and more")))
        say(cursor.lastrowid > 0, cursor.rowcount)
        own = cursor.lastrowid
        cursor.execute("SELECT COUNT(*) FROM shop.t WHERE id = %s", (own,))
        say(cursor.fetchone())
        db.rollback()
        cursor.execute("SELECT COUNT(*) FROM shop.t WHERE id = %s", (own,))
        say(cursor.fetchone())
        say(cursor.executemany("INSERT INTO shop.t (name, note) VALUES (%s, %s)", [(f"n{i}", None) for i in range(300)]))
        db.commit()
        say(cursor.execute("UPDATE shop.t SET note = 'x' WHERE name LIKE 'n1%%'"))
        db.commit()
        say(cursor.execute("UPDATE shop.t SET note = 'x' WHERE name LIKE 'n1%%'"), "unchanged")
        say(cursor.execute("DELETE FROM shop.t WHERE name LIKE 'n%%'"))
        db.autocommit(True)
        say(db.get_autocommit())
        fails(cursor, "INSERT INTO shop.t (id, name) VALUES (1, 'twice')")
        fails(cursor, "INSERT INTO shop.types (id, tu) VALUES (9, 256)")
        fails(cursor, "SELECT nothing FROM shop.t", words=False)
        fails(cursor, "SELECT * FROM shop.missing", words=False)
        fails(cursor, "SELEKT 1", words=False)
        cursor.execute("SELECT CAST('12abc' AS SIGNED)")
        say(cursor.fetchall(), cursor.warning_count)
        cursor.execute("SHOW WARNINGS")
        say(cursor.fetchall())
    with connect(client_flag=pymysql.constants.CLIENT.FOUND_ROWS, autocommit=True) as db, db.cursor() as cursor:
        say(cursor.execute("UPDATE shop.t SET note = note WHERE id = 1"), "found")


def several():
    with connect(client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS) as db, db.cursor() as cursor:
        cursor.execute("SELECT 1; SELECT 'a', 'b'; DO 0; SELECT 3")
        say(cursor.fetchall())
        while cursor.nextset():
            say(cursor.fetchall())
        cursor.execute("SET @a = 5")
        cursor.execute("SELECT @a + 1")
        say(cursor.fetchall())
        cursor.callproc("several", (2,))
        say(cursor.fetchall())
        while cursor.nextset():
            say(cursor.fetchall())
        cursor.execute("SELECT 1")
        say(cursor.fetchall())
    with connect() as db, db.cursor() as cursor:
        fails(cursor, "SELECT 1; SELECT 2", words=False)


def session():
    with connect(init_command="SET SESSION sql_mode = 'ANSI_QUOTES'", read_timeout=30) as db, db.cursor() as cursor:
        cursor.execute('SELECT "id" FROM shop.types ORDER BY "id"')
        say(cursor.fetchall())
        db.ping()
        db.ping(reconnect=False)
        db.select_db("shop")
        cursor.execute("SELECT DATABASE()")
        say(cursor.fetchall())
        db.begin()
        cursor.execute("SELECT @@autocommit, @@sql_mode")
        say(cursor.fetchall())
        db.rollback()
        db.set_character_set("latin1")
        cursor.execute("SELECT 'ä', @@character_set_client")
        say(cursor.fetchall())
        say(db.character_set_name(), db.get_server_info(), db.thread_id() > 0)
        db.set_character_set("utf8mb4")
        cursor.execute("SELECT 'ä', @@character_set_client")
        say(cursor.fetchall())


def files():
    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf8") as file:
        file.write("".join(f"{i},file ü {i}\n" for i in range(1000, 3000)))
        file.flush()
        load = (f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE shop.t CHARACTER SET utf8mb4 "
                "FIELDS TERMINATED BY ',' (note, name)")
        with connect(local_infile=True) as db, db.cursor() as cursor:
            say(cursor.execute(load))
            db.commit()
            cursor.execute("SELECT COUNT(*), MIN(note), MAX(name) FROM shop.t WHERE name LIKE 'file%'")
            say(cursor.fetchall())
            cursor.execute("DELETE FROM shop.t WHERE name LIKE 'file%'")
            db.commit()
            fails(cursor, load.replace(file.name, "/nonexistent"))
            cursor.execute("SELECT 1")
            say(cursor.fetchall())
        with connect() as db, db.cursor() as cursor:
            fails(cursor, load)


for name in sys.argv[1:] or ["types", "writes", "several", "session", "files"]:
    say("==", name)
    globals()[name]()
