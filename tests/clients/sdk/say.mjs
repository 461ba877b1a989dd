// What a script tells the test that runs it: one JSON value a line.
export const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
export const until = (socket, type) => new Promise((resolve, reject) => {
  socket.on(type, resolve);
  socket.on('error', reject);
});
