// Starts a PLC and a PDS on loopback, writes so many posts a minute apart, says where they are, and ends with its stdin.
const { TestNetworkNoAppView } = require('@atproto/dev-env');

(async () => {
  const count = Number(process.argv[2]);
  const network = await TestNetworkNoAppView.create({});
  const agent = network.pds.getClient();
  await agent.createAccount({ email: 'teahouse@shop.test', handle: 'teahouse.test', password: 'a password' });
  const first = Date.parse('2026-03-01T08:00:00.000Z');
  for (let number = 0; number < count; number += 1) {
    const createdAt = new Date(first + number * 60000).toISOString();
    await agent.api.com.atproto.repo.createRecord({
      repo: agent.session.did,
      collection: 'app.bsky.feed.post',
      record: { $type: 'app.bsky.feed.post', text: `post ${number}: thé glacé \u2764`, createdAt },
    });
  }
  console.log(JSON.stringify({ url: network.pds.url, did: agent.session.did }));
  process.stdin.resume();
  process.stdin.on('end', async () => {
    await network.close();
    process.exit(0);
  });
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
