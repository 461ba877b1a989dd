// One question and its answer over a realtime socket, then a close that the other side confirms.
import { say, until } from './say.mjs';

export async function converse(realtime) {
  const created = await until(realtime, 'session.created');
  say({ model: created.session.model });
  const content = [{ type: 'input_text', text: 'one two three' }];
  realtime.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } });
  let text = '';
  realtime.on('response.output_text.delta', (event) => { text += event.delta; });
  const done = until(realtime, 'response.done');
  realtime.send({ type: 'response.create' });
  say({ status: (await done).response.status, text });
  const closed = new Promise((resolve) => {
    realtime.socket.addEventListener('close', ({ code, reason }) => resolve({ code, reason }));
  });
  realtime.send({ type: 'sandbox.close', code: 4321, reason: 'enough' });
  say({ closed: await closed, protocol: realtime.socket.protocol });
}
