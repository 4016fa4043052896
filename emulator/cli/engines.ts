/** The engine that --engine names. Loaded on demand, because loading an engine takes time. */
import type { CreateEngine } from "../cpu/engine.ts";
import { UserError } from "./errors.ts";
import type { EngineName } from "./limits.ts";

/** Creating the engine throws UserError if this host does not support it. */
export async function loadEngine(name: EngineName): Promise<CreateEngine> {
  if (name === "native") {
    const { createNativeEngine, NativeUnavailable } = await import("../cpu/native/engine.ts");
    return refusing(createNativeEngine, (error) =>
      error instanceof NativeUnavailable
        ? new UserError("native engine", error.message, "give --engine unicorn")
        : error,
    );
  }
  const { createUnicornEngine } = await import("../cpu/unicorn/engine.ts");
  const { UnicornUnavailable } = await import("../cpu/unicorn/library.ts");
  return refusing(createUnicornEngine, (error) =>
    error instanceof UnicornUnavailable ? new UserError("unicorn", error.message, "") : error,
  );
}

function refusing(create: CreateEngine, refusal: (error: unknown) => unknown): CreateEngine {
  return (options) => {
    try {
      return create(options);
    } catch (error) {
      throw refusal(error);
    }
  };
}
