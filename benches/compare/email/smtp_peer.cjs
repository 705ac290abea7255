// nodemailer's pool. Arguments: port, connections, count, file with the mail. Prints one line of JSON.
const nodemailer = require("nodemailer");
const [port, connections, count] = process.argv.slice(2, 5).map(Number);
const mail = require("fs").readFileSync(process.argv[5]);
const transport = nodemailer.createTransport({
  pool: true, host: "127.0.0.1", port, secure: false, ignoreTLS: true,
  maxConnections: connections, maxMessages: Infinity,
});
const envelope = { from: "news@example.com", to: ["reader@example.org"] };

async function main() {
  let next = 0;
  const begun = process.hrtime.bigint();
  const work = async () => {
    while (next++ < count) await transport.sendMail({ envelope, raw: mail });
  };
  await Promise.all(Array.from({ length: connections }, work));
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  console.log(JSON.stringify({ seconds, count }));
  transport.close();
}

main().catch((error) => { console.error(error); process.exit(1); });
