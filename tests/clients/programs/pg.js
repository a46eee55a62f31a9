const fs = require("fs");
const { Pool } = require("pg");
const ssl = { ca: fs.readFileSync(process.env.PGSSLROOTCERT) };
delete process.env.PGSSLMODE;
require("./scenario").run(async (role, token) => {
  // shown: pg
  const pool = new Pool({ user: role, password: async () => token(), ssl });
  // end
  try {
    return (await pool.query("SELECT session_user")).rows[0].session_user;
  } finally {
    await pool.end();
  }
});
