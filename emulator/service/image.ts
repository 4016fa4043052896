/** Steps 1 to 3 of the job load: a private copy of the init image with the job's parameters at its end. */
import { INIT_MAGIC, INIT_VERSION, InitHeader } from "../abi/job.ts";
import { MAX_MESSAGE_BYTES } from "../abi/net.ts";
import { ParameterError } from "./parameters.ts";

const PARAMETERS_ALIGN_BYTES = 64;

/**
 * The body of the LOAD message. `cores` = hardware threads of a task whose LOAD names none, 0 = all; `tasksPerNode` =
 * most tasks on a node.
 */
export function buildLoadBody(
  initImage: Uint8Array,
  parameters: Uint8Array,
  cores: number,
  tasksPerNode = 1,
): Uint8Array {
  if (initImage.length < InitHeader.SIZE)
    throw new ParameterError("the init image is shorter than its header: build it with `margay build init`");
  const source = new InitHeader(new DataView(initImage.buffer, initImage.byteOffset, initImage.byteLength));
  if (source.magic !== INIT_MAGIC || source.version !== INIT_VERSION)
    throw new ParameterError("the init image has no header of this version: build it with `margay build init`");
  const parametersOffset = Math.ceil(initImage.length / PARAMETERS_ALIGN_BYTES) * PARAMETERS_ALIGN_BYTES;
  const body = new Uint8Array(parametersOffset + parameters.length);
  if (body.length > MAX_MESSAGE_BYTES)
    throw new ParameterError(`init image and parameters take ${body.length} bytes, at most ${MAX_MESSAGE_BYTES}`);
  body.set(initImage);
  body.set(parameters, parametersOffset);
  const header = new InitHeader(new DataView(body.buffer));
  header.fileBytes = BigInt(initImage.length);
  header.parametersOffset = BigInt(parametersOffset);
  header.cores = cores;
  header.tasksPerNode = tasksPerNode;
  return body;
}
