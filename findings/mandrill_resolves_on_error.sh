#!/usr/bin/env bash
# @mailchimp/mailchimp_transactional 1.4.1 (the vendor's client for Node), against a server on loopback: a send that the
# server answers with 500 is a resolved promise.
#
# Guess: `await client.messages.send(…)` rejects on an answer of 500, as axios below it does.
# Seen: the promise resolves, and its value is the error object. `catch` and `then(…, failed)` never run: a loop that
# counts resolved promises counts a list of recipients that was never taken as sent.
# For us: an answer that is not the documented one is an outcome `unknown` or `rejected`, never `accepted`.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
node_packages @mailchimp/mailchimp_transactional@1.4.1
run_node <<'JAVASCRIPT' | seen "answer 200: resolved with an array
answer 500: resolved with an AxiosError
answer 503: resolved with an AxiosError"
import http from 'node:http';
import mailchimp from '@mailchimp/mailchimp_transactional';
let status = 200;
const server = http.createServer((request, response) => {
  request.resume().on('end', () => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(status === 200 ? '[{"email":"anna@example.org","status":"sent"}]' : '{"status":"error"}');
  });
});
await new Promise(listening => server.listen(0, '127.0.0.1', listening));
const client = mailchimp('key');
client.basePath = `http://127.0.0.1:${server.address().port}`;
for (status of [200, 500, 503]) {
  const message = { subject: 'Your order', text: 'Thank you.', to: [{ email: 'anna@example.org' }] };
  await client.messages.send({ message }).then(
    value => console.log(`answer ${status}: resolved with an ${Array.isArray(value) ? 'array' : value.name}`),
    error => console.log(`answer ${status}: rejected with ${error.name}`),
  );
}
process.exit(0);
JAVASCRIPT
