// One page: the titles in the library.
const http = require("node:http");
const db = require("knex")(require("./knexfile"));

const server = http.createServer(async (_request, response) => {
  try {
    const books = await db("books").orderBy("title").pluck("title");
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ books }));
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  }
});

server.listen(8000);
process.on("SIGTERM", () => server.close(() => db.destroy()));
