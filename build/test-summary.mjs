// A vitest reporter that writes what build/test.mjs needs for the last line: counts, and each skipped test with its
// reason. vitest's own JSON report leaves the reasons out.
import { writeFileSync } from 'node:fs'

export default class TestSummary {
  onTestRunEnd(testModules, unhandledErrors) {
    const summary = { passed: 0, failed: 0, skipped: [] }
    for (const testModule of testModules) {
      // A file that does not even load has no tests that could fail.
      if (testModule.errors().length > 0) summary.failed += 1
      for (const test of testModule.children.allTests()) {
        const result = test.result()
        if (result.state === 'passed') summary.passed += 1
        else if (result.state === 'failed') summary.failed += 1
        else summary.skipped.push({ name: test.fullName, reason: result.note ?? 'no reason given' })
      }
      for (const suite of testModule.children.allSuites()) if (suite.errors().length > 0) summary.failed += 1
    }
    summary.failed += unhandledErrors.length
    writeFileSync(process.env.POSTERN_TEST_SUMMARY, JSON.stringify(summary))
  }
}
