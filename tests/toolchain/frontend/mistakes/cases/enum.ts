enum State {
  Idle,
  Busy,
}
export function isBusy(state: State): boolean {
  return state === State.Busy;
}
