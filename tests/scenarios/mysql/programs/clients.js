// mysql2 as its users use it. Prints the same, directly and through the proxy, where no column is masked.
const mysql = require('mysql2');
const promise = require('mysql2/promise');
const { Readable } = require('stream');

const env = process.env;
const login = {
  host: env.MYSQL_HOST, port: Number(env.MYSQL_PORT), user: env.MYSQL_USER, password: env.MYSQL_PASSWORD,
  database: env.MYSQL_DATABASE, compress: env.MYSQL_COMPRESS === 'yes',
};
const connect = (more) => promise.createConnection({ ...login, ...more });
const say = (...what) => console.log(...what.map((it) => JSON.stringify(it)));
const TYPES = 'SELECT * FROM shop.types ORDER BY id';

// What the proxy finds out by itself has the server's number, and words of its own.
async function fails(db, sql, words = true) {
  try {
    await db.query(sql);
    say('works', sql);
  } catch (error) {
    say(error.errno, error.code, error.sqlState, words ? error.sqlMessage : null);
  }
}

const parts = {
  async types() {
    const db = await connect({ supportBigNumbers: true, bigNumberStrings: true, dateStrings: true });
    for (const how of ['query', 'execute']) {
      const [rows, fields] = await db[how](TYPES);
      say(how, rows);
      say(fields.map((field) => [field.name, field.columnType, field.flags, field.table, field.orgName]));
    }
    say((await db.execute('SELECT id, name FROM shop.t WHERE id = ? OR name = ? ORDER BY id', [1, null]))[0]);
    say((await db.execute('SELECT ? + 1 AS n, ? AS t, ? AS d', [41, 'ü', '2024-01-02']))[0]);
    const before = await db.prepare('SELECT id FROM shop.t WHERE id = ?');
    for (const id of [1, 2, 1]) say((await before.execute([id]))[0]);
    await before.close();
    await db.unprepare(TYPES);
    await db.end();
  },
  async writes() {
    const db = await connect({ multipleStatements: true });
    await db.beginTransaction();
    const [done] = await db.query('INSERT INTO shop.t SET ?', { name: 'js', note: 'ü' });
    say(done.affectedRows, done.insertId > 0, done.info, done.warningStatus);
    await db.rollback();
    await db.beginTransaction();
    say((await db.execute('INSERT INTO shop.t (name, note) VALUES (?, ?)', ['js', null]))[0].affectedRows);
    await db.commit();
    say((await db.query("UPDATE shop.t SET note = 'y' WHERE name = 'js'"))[0].info);
    say((await db.query('INSERT INTO shop.t (name) VALUES ?', [[['js'], ['js'], ['js']]]))[0].info);
    say((await db.query("DELETE FROM shop.t WHERE name = 'js'"))[0].affectedRows);
    await db.query('SET autocommit = 0');
    await db.query("INSERT INTO shop.t (name) VALUES ('js')");
    await db.rollback();
    await db.query('SET autocommit = 1');
    say((await db.query("SELECT COUNT(*) AS n FROM shop.t WHERE name = 'js'"))[0]);
    await fails(db, "INSERT INTO shop.t (id, name) VALUES (1, 'twice')");
    await fails(db, 'SELECT * FROM shop.missing', false);
    const [several] = await db.query("SELECT 1 AS a; SELECT 2 AS b; UPDATE shop.t SET note = 'eins' WHERE id = 1; SELECT 'z' AS c");
    say(several.map((one) => (Array.isArray(one) ? one : one.affectedRows)));
    const [called] = await db.query('CALL shop.several(2)');
    say(called.map((one) => (Array.isArray(one) ? one : one.affectedRows)));
    const [again] = await db.execute('CALL shop.several(1)');
    say(again.map((one) => (Array.isArray(one) ? one : one.affectedRows)));
    await db.end();
  },
  async streams() {
    const db = mysql.createConnection(login);
    let rows = 0;
    for await (const row of db.query('SELECT a.id FROM shop.orders a JOIN shop.orders b').stream({ highWaterMark: 5 })) rows += row.id > 0;
    say(rows);
    const stream = db.execute('SELECT id FROM shop.orders ORDER BY id');
    await new Promise((done, failed) => stream.on('result', () => { rows += 1; }).on('end', done).on('error', failed));
    say(rows);
    await new Promise((done) => db.end(done));
  },
  async session() {
    const db = await connect();
    await db.ping();
    await db.query('SET @a = 7');
    await db.changeUser({ database: login.database });
    say((await db.query('SELECT @a AS a, DATABASE() AS d'))[0]);
    await db.query('SET @a = 7');
    await new Promise((done, failed) => db.connection.reset((error) => (error ? failed(error) : done())));
    say((await db.query('SELECT @a AS a, DATABASE() AS d, @@character_set_client AS c'))[0]);
    await db.query('USE shop');
    say((await db.execute('SELECT id FROM types ORDER BY id'))[0]);
    try {
      await db.changeUser({ password: 'wrong' });
      say('works');
    } catch (error) {
      say(error.errno, error.code, error.sqlState);
    }
    db.destroy();
    const pool = promise.createPool({ ...login, connectionLimit: 3, resetOnRelease: true });
    const all = await Promise.all([...Array(20).keys()].map((i) => pool.execute('SELECT ? AS i', [i])));
    say(all.map(([rows]) => rows[0].i).length);
    await pool.end();
  },
  async files() {
    const lines = [...Array(5000).keys()].map((i) => `${i},file ${i}\n`);
    const db = await connect({ infileStreamFactory: () => Readable.from(lines.map((line) => Buffer.from(line))), flags: ['LOCAL_FILES'] });
    const load = "LOAD DATA LOCAL INFILE 'stream' INTO TABLE shop.t FIELDS TERMINATED BY ',' (note, name)";
    const [done] = await db.query(load);
    say(done.affectedRows, done.info);
    say((await db.query("SELECT COUNT(*) AS n, MAX(name) AS m FROM shop.t WHERE name LIKE 'file%'"))[0]);
    say((await db.query("DELETE FROM shop.t WHERE name LIKE 'file%'"))[0].affectedRows);
    await db.end();
  },
};

(async () => {
  for (const name of (env.PARTS || Object.keys(parts).join(',')).split(',')) {
    console.log('==', name);
    await parts[name]();
  }
})().catch((error) => { console.log('FAILED', error.message); process.exit(1); });
