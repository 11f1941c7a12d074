/** Listeners, hooks and callbacks of the user's may throw. What is ours goes on; what was thrown reaches the process. */
export function throwLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
