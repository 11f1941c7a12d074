import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import timers = require('node:timers');
import type { Context, Hook, RootHookObject, Suite, Test } from 'mocha';
import { specBegins, specEnds, specsGoingOn } from './running-spec';
import { stressed } from './stress';

/** What is alive. Descriptors are counted by target, since their numbers are used again. */
interface Snapshot {
  children: number[];
  timers: NodeJS.Timeout[];
  counts: Map<string, number>;
}

const settleWithinMs = Number(process.env['LEAK_CHECK_SETTLE_MS'] ?? 5000);
/** How long one that ran out of time may take to come to its end. */
const endWithinMs = settleWithinMs;
const ownTasks = '/proc/self/task';
const ownDescriptors = '/proc/self/fd';

// getActiveResourcesInfo() does not count an unref'ed timer, and that is the one that nobody notices.
const timersMade = new Map<NodeJS.Timeout, { stack?: string }>();
const { setTimeout: unrecordedTimeout } = timers;
const pause = (ms: number): Promise<void> => new Promise((resolve) => unrecordedTimeout(resolve, ms));

for (const name of ['setTimeout', 'setInterval'] as const) {
  const original = timers[name] as (...args: unknown[]) => NodeJS.Timeout;
  const recorded = (...args: unknown[]): NodeJS.Timeout => {
    const timer = original(...args);
    const site: { stack?: string } = {};
    Error.captureStackTrace(site, recorded);
    timersMade.set(timer, site);
    return timer;
  };
  // util.promisify looks for its own version of the timer among the properties
  Object.defineProperties(recorded, Object.getOwnPropertyDescriptors(original));
  Object.assign(timers, { [name]: recorded });
  Object.assign(globalThis, { [name]: recorded });
}

function liveTimers(): NodeJS.Timeout[] {
  for (const timer of timersMade.keys()) {
    if ((timer as unknown as { _destroyed: boolean })._destroyed) timersMade.delete(timer);
  }
  return [...timersMade.keys()];
}

/** Processes and descriptors vanish while one looks at them. */
function ifThere<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** Those of Node itself, which start no process. */
let threadsOfNode = new Set<string>();

function threads(): string[] {
  return existsSync(ownTasks) ? readdirSync(ownTasks) : [];
}

function liveChildren(): number[] {
  return threads()
    .filter((task) => !threadsOfNode.has(task))
    .flatMap((task) => ifThere(() => readFileSync(`${ownTasks}/${task}/children`, 'utf8'))?.split(' ') ?? [])
    .filter((pid) => pid !== '')
    .map(Number);
}

function describeChild(pid: number): string {
  const commandLine = ifThere(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
    ?.replaceAll('\0', ' ')
    .trim();
  return `child process ${pid}: ${commandLine || '(ended)'}`;
}

function descriptorTargets(): string[] {
  if (!existsSync(ownDescriptors)) return [];
  return readdirSync(ownDescriptors).flatMap((fd) => ifThere(() => readlinkSync(`${ownDescriptors}/${fd}`)) ?? []);
}

function takeSnapshot(): Snapshot {
  const snapshot: Snapshot = { children: liveChildren(), timers: liveTimers(), counts: new Map() };
  const count = (name: string, by: number) => snapshot.counts.set(name, (snapshot.counts.get(name) ?? 0) + by);

  for (const target of descriptorTargets()) count(`descriptor of ${target}`, 1);
  for (const type of process.getActiveResourcesInfo()) count(`active ${type}`, 1);
  for (const event of process.eventNames()) {
    count(`listener on process for '${String(event)}'`, process.listenerCount(event));
  }
  for (const timer of snapshot.timers) {
    count(`timer made ${timersMade.get(timer)?.stack?.split('\n')[1]?.trim()}`, 1);
    if (timer.hasRef()) count('active Timeout', -1);
  }
  return snapshot;
}

function leaksSince(before: Snapshot): string[] {
  const now = takeSnapshot();
  latest = now;
  const children = now.children.filter((pid) => !before.children.includes(pid)).map(describeChild);
  const others = [...now.counts].filter(([name, count]) => count > (before.counts.get(name) ?? 0));
  return [...children, ...others.map(([name]) => name)];
}

async function leaksOnceSettled(before: Snapshot, withinMs = settleWithinMs): Promise<string[]> {
  const startedAt = performance.now();
  let leaks = leaksSince(before);
  for (let turns = 0; leaks.length > 0; turns += 1) {
    const passedMs = performance.now() - startedAt;
    if (passedMs >= withinMs) break;
    // most take a few turns, and a child that takes longer is not to be kept from its processor
    await (turns < 10 ? turn() : pause(5 + passedMs / 5));
    leaks = leaksSince(before);
  }
  return leaks;
}

function leftBehind(leaks: Iterable<string>): string {
  return `left behind:\n${Array.from(leaks, (leak) => `  - ${leak}`).join('\n')}`;
}

function plainError(message: string): Error {
  const error = new Error(message);
  delete error.stack;
  return error;
}

let isWarm = false;
let beforeAllTests: Snapshot;
let beforeThisTest: Snapshot;
/** The last one that was compared with another, and the suite of the test after which it was taken. */
let latest: Snapshot | undefined;
let suiteOfLatest: Suite | undefined;
let wereGoingOn: readonly string[] = [];
const reported = new Set<string>();
/** What was found while specs went on that had run out of time, by their titles: it is theirs for all that is known. */
const leaksOfThoseGoingOn = new Map<string, Set<string>>();

function blameThoseGoingOn(titles: readonly string[], leaks: readonly string[]): void {
  const names = titles.map((title) => `“${title}”`).join(' and ');
  const theirs = leaksOfThoseGoingOn.get(names) ?? new Set();
  for (const leak of leaks) theirs.add(leak);
  leaksOfThoseGoingOn.set(names, theirs);
}

// The root's beforeEach runs before any suite's and its afterEach after any suite's, so what a suite makes and clears in
// its own hooks is in neither snapshot. The root's `all` hooks do the same for `before` and `after`.
export const mochaHooks: RootHookObject = {
  async beforeAll() {
    // Node opens the standard streams and libuv a spare descriptor when they are first needed, and never closes them.
    void process.stdout;
    void process.stderr;
    if (!isWarm) await once(spawn(process.execPath, ['--version'], { stdio: ['pipe', 'ignore', 'ignore'] }), 'close');
    if (!isWarm) threadsOfNode = new Set(threads().filter((task) => task !== String(process.pid)));
    isWarm = true;
    suiteOfLatest = undefined;
    // mocha arms an asynchronous hook's own timeout after the hook has returned; the comparison is made under such a one
    await turn();
    beforeAllTests = takeSnapshot();
  },

  async beforeEach(this: Context) {
    const test = this.currentTest as Test;
    test.timeout(test.timeout() * stressed(4, 1));
    specBegins(test);
    wereGoingOn = specsGoingOn();
    // as above
    await turn();
    // between two tests of one suite no hook runs that makes anything
    beforeThisTest = latest !== undefined && test.parent === suiteOfLatest ? latest : takeSnapshot();
  },

  async afterEach(this: Context) {
    this.timeout(10 * endWithinMs);
    await specEnds(endWithinMs);
    const leaks = await leaksOnceSettled(beforeThisTest);
    suiteOfLatest = this.currentTest?.parent;
    for (const leak of leaks) reported.add(leak);
    // what a failed test leaves behind comes of the failure, which has its own message
    if (this.currentTest?.state !== 'passed' || leaks.length === 0) return;
    if (wereGoingOn.length > 0) blameThoseGoingOn(wereGoingOn, leaks);
    // a throw here would end the whole run; an error set on the hook fails the one test
    else (this.test as Hook).error(plainError(leftBehind(leaks)));
  },

  async afterAll() {
    const leaks = await leaksOnceSettled(beforeAllTests);
    // else the leak would keep mocha from ending, and the report of it from being read
    const now = takeSnapshot();
    for (const pid of now.children) {
      if (!beforeAllTests.children.includes(pid)) ifThere(() => process.kill(pid, 'SIGKILL'));
    }
    for (const timer of now.timers) if (!beforeAllTests.timers.includes(timer)) clearTimeout(timer);

    const news = leaks.filter((leak) => !reported.has(leak));
    if (news.length > 0 && specsGoingOn().length > 0) blameThoseGoingOn(specsGoingOn(), news);
    const late = [...leaksOfThoseGoingOn].map(
      ([names, theirs]) => `${names}, which ran out of time and went on, ${leftBehind(theirs)}`,
    );
    if (late.length > 0) throw plainError(late.join('\n'));
    if (news.length > 0) throw plainError(leftBehind(news));
  },
};
