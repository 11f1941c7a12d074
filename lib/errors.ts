/** Every error that RexPort raises. Constructors take facts and write the sentence, with every number that matters. */

/** The base of all: match on `code`, which stays the same across versions, or on the class. */
export class RexPortError extends Error {
  readonly code: string;

  constructor(code: `ERR_REXPORT_${string}`, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  override get name(): string {
    return this.constructor.name;
  }
}
