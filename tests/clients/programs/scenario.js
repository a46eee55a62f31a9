// The same as scenario.py, for Node.
const fs = require("fs");

exports.run = async (logIn) => {
  for (const line of fs.readFileSync(0, "utf8").trim().split("\n")) {
    const [role, file] = line.split("\t");
    try {
      console.log(`ok\t${await logIn(role, () => fs.readFileSync(file, "ascii"))}`);
    } catch (error) {
      console.log(`error\t${String(error.message).split(/\s+/).join(" ")}`);
    }
  }
};
