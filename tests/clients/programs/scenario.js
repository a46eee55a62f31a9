// The same as scenario.py, for Node.
const fs = require("fs");
const readline = require("readline");

const USER = "SELECT session_user";
const TOKEN = "SELECT azure_ad_auth.session_claims() ->> 'uti'";
const SLEEP = "SELECT pg_sleep(600)";
const SLEEPS = `SELECT count(*) FROM pg_stat_activity WHERE query = '${SLEEP}' AND state = 'active'`;

async function play(name, pool, tokens) {
  if (name === "refresh" && pool.refresh) return pool.refresh(() => tokens.shift(), TOKEN);
  const one = await pool.session();
  if (name === "login") return one.ask(USER);
  if (name === "refresh") tokens.shift();
  const other = await pool.session();
  if (name === "refresh") return `${await one.ask(TOKEN)} ${await other.ask(TOKEN)}`;
  const sleep = one.ask(SLEEP);
  const refused = sleep.then(() => "it slept", (error) => error.message);
  while (Number(await other.ask(SLEEPS)) === 0);
  await one.cancel(other);
  const said = await refused;
  if (said !== "canceling statement due to user request") throw new Error(said);
  return `canceled ${await one.ask(USER)}`;
}

// Plays all scenarios. clients(role, token) is a pool: it opens sessions, and ends.
exports.run = async (clients) => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, role, ...tokens] = line.split("\t");
    const pool = clients(role, () => fs.readFileSync(tokens[0], "ascii"));
    try {
      console.log(`ok\t${await play(name, pool, tokens)}`);
    } catch (error) {
      console.log(`error\t${String(error.message).split(/\s+/).join(" ")}`);
    } finally {
      await pool.end();
    }
  }
};
