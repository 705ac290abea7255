#!/usr/bin/env bash
# @amplitude/analytics-node 1.5.73, against a server on loopback: in a short script `init`, `track`, `flush` lose the event.
#
# Guess: `await flush().promise` right after `track` sends what was tracked; the README calls `init` without awaiting it.
# Seen: the event is dropped with code 100, "no destination plugins on the instance", because `init` has not finished;
# `flush` resolves all the same, and nothing reaches the server. Without `flush`, or with `await init(…).promise`, or with
# a pause before `flush`, the event arrives. A nightly job that flushes and exits sends nothing.
# For us: our own flushes report how many events were taken, and a job fails where that is fewer than it had.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
node_packages @amplitude/analytics-node@1.5.73
run_node <<'JAVASCRIPT' | seen "init, track, flush: code 100, received 0
init awaited: code 200, received 1
no flush: code 200, received 1"
import http from 'node:http';
import { createInstance } from '@amplitude/analytics-node';
let received = 0;
const server = http.createServer((request, response) => {
  let body = '';
  request.on('data', chunk => (body += chunk)).on('end', () => {
    received += JSON.parse(body).events.length;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end('{"code":200}');
  });
});
await new Promise(listening => server.listen(0, '127.0.0.1', listening));
for (const mode of ['init, track, flush', 'init awaited', 'no flush']) {
  received = 0;
  const amplitude = createInstance();
  const ready = amplitude.init('key', {
    serverUrl: `http://127.0.0.1:${server.address().port}`, flushIntervalMillis: 100, logLevel: 0,
  });
  if (mode === 'init awaited') await ready.promise;
  const tracked = amplitude.track('order', { revenue: 12.5 }, { user_id: 'visitor-1' });
  if (mode !== 'no flush') await amplitude.flush().promise;
  console.log(`${mode}: code ${(await tracked.promise).code}, received ${received}`);
}
process.exit(0);
JAVASCRIPT
