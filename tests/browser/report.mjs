// Collects what went wrong.

import { watch } from "./watch.mjs";

export class Report {
  problems = [];
  checks = 0;

  constructor(origin) {
    this.origin = origin;
  }

  check(isRight, problem) {
    this.checks += 1;
    if (!isRight) this.problems.push(problem);
  }

  fail(problem) {
    this.check(false, problem);
  }

  // No request to another host, no policy violation, no error in the console.
  watch(page) {
    watch(page, this.origin, this.problems);
  }
}
