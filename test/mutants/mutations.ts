/** What can be changed in a source text, TypeScript or AssemblyScript, so that a test should notice. Pure. */
import ts from 'typescript';

/** One change: `replacement` instead of the characters from `start` to `end`. */
export interface Mutation {
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** The line it begins in, without and with the change. They tell mutations apart for longer than line numbers do. */
  readonly before: string;
  readonly after: string;
}

const OPERATORS: Record<string, string> = {
  '+': '-', '-': '+', '*': '/', '/': '*', '%': '*', '<': '<=', '<=': '<', '>': '>=', '>=': '>', '==': '!=', '!=': '==', '===': '!==', '!==': '===',
  '&&': '||', '||': '&&', '??': '&&', '&': '|', '|': '&', '<<': '>>', '>>': '<<', '>>>': '<<', '+=': '-=', '-=': '+=', '*=': '/=', '|=': '&=', '&=': '|=',
};

/** Functions and methods by name: of Math, of AssemblyScript, of v128. */
const FUNCTIONS: Record<string, string> = {
  min: 'max', max: 'min', floor: 'ceil', ceil: 'floor', add: 'sub', sub: 'add', mul: 'add', abs: 'neg', neg: 'abs', pmax: 'pmin',
  and: 'or', or: 'and', andnot: 'and', lt: 'le', le: 'lt', gt: 'ge', ge: 'gt', eq: 'ne', some: 'every', every: 'some',
  extadd_pairwise_i8x16_u: 'extadd_pairwise_i8x16_s', extadd_pairwise_i16x8_u: 'extadd_pairwise_i16x8_s',
};

/** Functions that choose between their first two arguments. */
const CHOICES = new Set(['select', 'bitselect']);

/** Every mutation of a file, in the order of the text. Types, imports, decorators, strings and comments are left alone. */
export function mutationsOf(file: string, text: string): Mutation[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true), found: Mutation[] = [];
  const replace = (node: { getStart(): number; end: number }, replacement: string) => {
    const start = node.getStart(), { line, character } = source.getLineAndCharacterOfPosition(start);
    const lineAt = source.getPositionOfLineAndCharacter(line, 0), mutated = text.slice(0, start) + replacement + text.slice(node.end);
    found.push({
      file, start, end: node.end, replacement, line: line + 1, column: character + 1, before: lineOf(text, lineAt), after: lineOf(mutated, lineAt),
    });
  };
  const visit = (node: ts.Node): void => {
    if (isFixed(node)) return;
    for (const [changed, replacement] of changesOf(node)) replace(changed, replacement);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The text with a mutation in it. */
export function mutate(text: string, { start, end, replacement }: Mutation): string {
  return text.slice(0, start) + replacement + text.slice(end);
}

function lineOf(text: string, start: number): string {
  return text.slice(start, text.indexOf('\n', start)).trim();
}

/** What has no arithmetic in it, or none that is executed. */
function isFixed(node: ts.Node): boolean {
  return ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) || ts.isDecorator(node);
}

function* changesOf(node: ts.Node): Generator<[node: ts.Node, replacement: string]> {
  if (ts.isBinaryExpression(node)) {
    const { operatorToken } = node, other = OPERATORS[operatorToken.getText()];
    if (other) yield [operatorToken, other];
  } else if (ts.isCallExpression(node)) {
    yield* changesOfCall(node);
  } else if (ts.isNumericLiteral(node)) {
    for (const value of neighbours(node)) yield [node, value];
  } else if (ts.isIfStatement(node) || ts.isConditionalExpression(node)) {
    const condition = ts.isIfStatement(node) ? node.expression : node.condition;
    // Others have an operator, which is changed by itself.
    if (!ts.isBinaryExpression(condition)) yield [condition, `!(${condition.getText()})`];
  } else if (ts.isExpressionStatement(node)) {
    yield [node, ';'];
  } else if (ts.isPrefixUnaryExpression(node)) {
    if ([ts.SyntaxKind.ExclamationToken, ts.SyntaxKind.MinusToken].includes(node.operator)) yield [node, node.operand.getText()];
  } else if (node.kind === ts.SyntaxKind.TrueKeyword) {
    yield [node, 'false'];
  } else if (node.kind === ts.SyntaxKind.FalseKeyword) {
    yield [node, 'true'];
  }
}

function* changesOfCall({ expression, arguments: args }: ts.CallExpression): Generator<[node: ts.Node, replacement: string]> {
  const name = ts.isPropertyAccessExpression(expression) ? expression.name : expression, text = name.getText();
  if (Object.hasOwn(FUNCTIONS, text)) yield [name, FUNCTIONS[text]!];
  const [first, second] = args;
  if (first && second && CHOICES.has(text)) {
    yield [first, second.getText()];
    yield [second, first.getText()];
  }
}

/** Numbers one more and one less; of bytes a vector or half of one more and less, since all else is not aligned. */
function neighbours({ text }: ts.NumericLiteral): string[] {
  const value = Number(text), step = value < 8 || value % 8 !== 0 ? 1 : value % 16 === 0 ? 16 : 8;
  if (value === 0) return ['1'];
  // Steps of 0 make loops that do not end.
  return value === step && step > 1 ? [String(value + step)] : [String(value + step), String(value - step)];
}
