// Exit 0 if no migration is pending, else 1 (`knex migrate:status` exits 0 either way).
const db = require("knex")(require("./knexfile"));

async function done() {
  // A check must change nothing, but `migrate.list` creates knex's own tables if they are missing.
  if (!(await db.schema.hasTable("knex_migrations"))) return false;
  const [, pending] = await db.migrate.list();
  return pending.length === 0;
}

done()
  .then((yes) => {
    process.exitCode = yes ? 0 : 1;
  })
  .finally(() => db.destroy());
