const app = require('express')();
const { createHash } = require('crypto');

app.get('/', (_, response) => {
  response.send(createHash('sha256').update('node').digest('hex'));
});
app.listen(3000);
