/** Rules for the top level of modules and for class bodies; checked for every module, reachable or not. */
import { isDeclared, ts } from "./adapter.ts";
import { attrCall, functionAttributes, structAttributes, variableTags } from "./attributes.ts";
import { Refused } from "./diagnostics.ts";
import { excerpt } from "./report.ts";
import { VOID } from "./types.ts";
import type { Unit } from "./unit.ts";

export function checkModule(unit: Unit, file: ts.SourceFile): void {
  for (const s of file.statements) {
    unit.currentNode = s;
    try {
      topLevel(unit, s);
    } catch (e) {
      if (!(e instanceof Refused)) throw e;
    }
  }
}

function topLevel(unit: Unit, s: ts.Statement): void {
  if (ts.isFunctionDeclaration(s)) return checkFunction(unit, s);
  if (ts.isClassDeclaration(s)) return checkClass(unit, s);
  if (ts.isVariableStatement(s)) {
    if (!(s.declarationList.flags & ts.NodeFlags.BlockScoped))
      unit.report(s, "MG1009", `${excerpt(s)}: write let or const instead of var`);
    variableTags(unit, s);
    return;
  }
  if (ts.isEnumDeclaration(s)) {
    const isConst = s.modifiers?.some((m) => m.kind === ts.SyntaxKind.ConstKeyword);
    if (!isConst)
      unit.report(s, "MG1019", `enum ${s.name.text} would need storage; write const enum ${s.name.text} instead`);
    for (const m of s.members) unit.resolver.enumMember(m);
    return;
  }
  if (ts.isImportDeclaration(s) || ts.isTypeAliasDeclaration(s) || ts.isEmptyStatement(s)) return;
  if (ts.isExportDeclaration(s)) return;
  if (ts.isInterfaceDeclaration(s))
    return unit.report(s, "MG1017", `interface ${s.name.text} has no layout; write class ${s.name.text} instead`);
  if (ts.isModuleDeclaration(s))
    return unit.report(s, "MG1017", "namespaces do not nest modules; write a file of its own instead");
  if (ts.isExportAssignment(s) || ts.isImportEqualsDeclaration(s))
    return unit.report(
      s,
      "MG1017",
      `${excerpt(s)} is no ES module declaration; write export and import of names instead`,
    );
  if (ts.isExpressionStatement(s) && attrCall(unit, s))
    return unit.report(
      s,
      "MG4001",
      "attr() stands outside a function; write it as the function's first statement instead",
    );
  unit.report(s, "MG1001", `${excerpt(s)} would have to run before the entry; write it inside a function instead`);
}

function checkFunction(unit: Unit, f: ts.FunctionDeclaration | ts.MethodDeclaration): void {
  if (f.asteriskToken || f.modifiers?.some((m) => m.kind === ts.SyntaxKind.AsyncKeyword)) {
    unit.report(f, "MG1005", `${excerpt(f.name ?? f)} would suspend; write a plain function instead`);
  }
  if (ts.isFunctionDeclaration(f) && !f.name) unit.report(f, "MG1017", "function without a name; write a name instead");
  if (!f.body && !isDeclared(f)) {
    const symbol = f.name ? unit.source.symbol(f.name) : undefined;
    if ((symbol?.declarations?.length ?? 0) > 1)
      unit.report(f, "MG1016", `${excerpt(f.name ?? f)} is overloaded; write one function a name instead`);
    else
      unit.report(
        f,
        "MG4005",
        `${excerpt(f.name ?? f)} has no body; write declare function for one that is defined elsewhere instead`,
      );
  }
  if (f.body) functionAttributes(unit, f, VOID);
}

function checkClass(unit: Unit, c: ts.ClassDeclaration): void {
  structAttributes(unit, c);
  for (const m of c.members) {
    if (ts.isPropertyDeclaration(m)) {
      if (m.modifiers?.some((x) => x.kind === ts.SyntaxKind.StaticKeyword))
        unit.report(m, "MG1018", `static field ${excerpt(m.name)}; write a variable of the module instead`);
      else if (!ts.isIdentifier(m.name))
        unit.report(m, "MG1018", `field ${excerpt(m.name)}; write a plain name instead`);
      else if (m.questionToken)
        unit.report(m, "MG1015", `field ${m.name.text} is optional; write ${m.name.text}: ptr<T> | null instead`);
    } else if (ts.isMethodDeclaration(m)) {
      checkFunction(unit, m);
      if (!ts.isIdentifier(m.name)) unit.report(m, "MG1018", `method ${excerpt(m.name)}; write a plain name instead`);
      else checkOverride(unit, c, m, m.name.text);
    } else if (!ts.isSemicolonClassElement(m)) {
      const what = ts.isConstructorDeclaration(m) ? "constructor" : ts.isAccessor(m) ? "accessor" : "member";
      const instead = ts.isConstructorDeclaration(m)
        ? "values at the fields (x: u64 = 0), and { x: 1 } or assignments where one is made,"
        : ts.isAccessor(m)
          ? `a method, which is called: ${excerpt(m.name)}(),`
          : "fields, methods and functions";
      unit.report(m, "MG1018", `${what} ${excerpt(m, 24)}; write ${instead} instead`);
    }
  }
}
function checkOverride(unit: Unit, c: ts.ClassDeclaration, m: ts.MethodDeclaration, name: string): void {
  const seen = new Set<ts.Node>([c]);
  for (let base = baseOf(unit, c); base && !seen.has(base); base = baseOf(unit, base)) {
    seen.add(base);
    if (base.members.some((x) => ts.isMethodDeclaration(x) && ts.isIdentifier(x.name) && x.name.text === name)) {
      const owner = base.name?.text ?? "the base";
      unit.report(
        m,
        "MG1020",
        `${name} hides the method of ${owner}, which calls through it would still reach; write another name instead`,
      );
      return;
    }
  }
}
function baseOf(unit: Unit, c: ts.ClassDeclaration): ts.ClassDeclaration | null {
  const expr = c.heritageClauses?.find((h) => h.token === ts.SyntaxKind.ExtendsKeyword)?.types[0]?.expression;
  const declaration = expr && ts.isIdentifier(expr) ? unit.source.symbol(expr)?.declarations?.[0] : undefined;
  return declaration && ts.isClassDeclaration(declaration) ? declaration : null;
}
