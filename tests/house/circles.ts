/**
 * Sets of files that import each other, directly or indirectly (strongly connected components: Tarjan 1972); each
 * sorted.
 */
export function circles(files: readonly string[], importsOf: (file: string) => readonly string[]): string[][] {
  const found: string[][] = [];
  const order = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const visit = (file: string): number => {
    let low = order.size;
    order.set(file, low);
    const at = stack.push(file) - 1;
    onStack.add(file);
    for (const to of importsOf(file)) {
      if (!order.has(to)) low = Math.min(low, visit(to));
      else if (onStack.has(to)) low = Math.min(low, order.get(to)!);
    }
    if (low === order.get(file)) {
      const component = stack.splice(at);
      for (const member of component) onStack.delete(member);
      if (component.length > 1) found.push(component.sort());
    }
    return low;
  };
  for (const file of files) if (!order.has(file)) visit(file);
  return found.sort((a, b) => (a[0]! < b[0]! ? -1 : 1));
}
