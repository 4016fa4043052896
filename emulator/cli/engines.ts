/** The engine that --engine names, loaded when it is known which: each takes its time to load. */
import type { CreateEngine } from "../cpu/engine.ts";
import { UserError } from "./errors.ts";
import type { EngineName } from "./limits.ts";

/** Creating an engine throws UserError where this host cannot have it. */
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
