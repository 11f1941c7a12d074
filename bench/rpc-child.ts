/** A server of JSON-RPC behind `Content-Length` headers that does as little as can be done: the result is the params; those of one chunk leave as one. */
let rest = '';
process.stdin.setEncoding('latin1');
process.stdin.on('data', (chunk: string) => {
  rest += chunk;
  let at = 0;
  let answers = '';
  for (;;) {
    const body = rest.indexOf('\r\n\r\n', at) + 4;
    if (body === 3) break;
    const end = body + Number(/Content-Length: (\d+)/.exec(rest.slice(at, body))?.[1]);
    if (rest.length < end) break;
    const { id, params } = JSON.parse(rest.slice(body, end)) as { readonly id: number; readonly params: unknown };
    const answer = JSON.stringify({ jsonrpc: '2.0', id, result: params });
    answers += `Content-Length: ${answer.length}\r\n\r\n${answer}`;
    at = end;
  }
  rest = rest.slice(at);
  if (answers !== '') process.stdout.write(answers, 'latin1');
});
