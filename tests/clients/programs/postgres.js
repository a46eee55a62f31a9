const fs = require("fs");
const postgres = require("postgres");
const ssl = { ca: fs.readFileSync(process.env.PGSSLROOTCERT) };
require("./scenario").run(async (role, token) => {
  // shown: postgres
  const sql = postgres({ user: role, password: async () => token(), ssl });
  // end
  try {
    return (await sql`SELECT session_user`)[0].session_user;
  } finally {
    await sql.end();
  }
});
