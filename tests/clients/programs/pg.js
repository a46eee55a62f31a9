const fs = require("fs");
const { Pool } = require("pg");
const ssl = { ca: fs.readFileSync(process.env.PGSSLROOTCERT) };
delete process.env.PGSSLMODE;
require("./scenario").run((role, token) => {
  // shown: pg
  const pool = new Pool({ user: role, password: async () => token(), ssl });
  // end
  const clients = [];
  const session = async () => {
    const client = await pool.connect();
    clients.push(client);
    const ask = async (query) => Object.values((await client.query(query)).rows[0])[0];
    return { ask, cancel: (other) => other.ask(`SELECT pg_cancel_backend(${client.processID})`) };
  };
  const end = async () => {
    clients.forEach((client) => client.release());
    await pool.end();
  };
  return { session, end };
});
