// The linter of the report's scripts, which `.ci/run` joins as the report does: they share one scope.
const browser = [
  "Blob",
  "DecompressionStream",
  "ResizeObserver",
  "Response",
  "TextDecoder",
  "URL",
  "URLSearchParams",
  "atob",
  "clearTimeout",
  "document",
  "fetch",
  "getComputedStyle",
  "history",
  "location",
  "setTimeout",
  "window",
];
const rules = [
  "eqeqeq",
  "no-const-assign",
  "no-dupe-keys",
  "no-empty",
  "no-eval",
  "no-fallthrough",
  "no-implied-eval",
  "no-redeclare",
  "no-self-assign",
  "no-undef",
  "no-unreachable",
  "no-unused-vars",
  "no-var",
  "prefer-const",
  "use-isnan",
  "valid-typeof",
];
export default [
  {
    languageOptions: { sourceType: "script", globals: Object.fromEntries(browser.map((name) => [name, "readonly"])) },
    rules: Object.fromEntries(rules.map((name) => [name, "error"])),
  },
];
