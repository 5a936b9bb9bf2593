exports.up = async (knex) => {
  await knex.schema.createTable("books", (table) => {
    table.increments();
    table.string("title").notNullable();
  });
  await knex("books").insert({ title: "The Hobbit" });
};

exports.down = (knex) => knex.schema.dropTable("books");
