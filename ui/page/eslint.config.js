/** What no module of the page may do: make HTML from text, run text, forget a variable. */

const HTML = ["innerHTML", "outerHTML", "insertAdjacentHTML", "srcdoc", "setHTMLUnsafe", "createContextualFragment"];

export default [
  { ignores: ["node_modules/"] },
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-const-assign": "error",
      "no-dupe-keys": "error",
      "no-eval": "error",
      "no-fallthrough": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-properties": [
        "error",
        ...HTML.map((property) => ({ property, message: "Build nodes with el() of dom.js." })),
        { object: "document", property: "write", message: "Build nodes with el() of dom.js." },
      ],
      "no-self-assign": "error",
      "no-unreachable": "error",
      "no-unused-private-class-members": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-useless-escape": "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
];
