/** The path of the source's module in the compiled tree, which is there and up to date. */
export function moduleOf(source: string): string;
