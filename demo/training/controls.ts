/** The controls of an experiment: scenarios, sliders and the choice of nonlinearity. */
import type { Activation } from '../network/activation.js';
import { SCENARIOS, type Settings, type SliderName, scenarioOf, VALUES } from '../network/settings.js';
import { setText } from '../page/dom.js';
import { bindSlider } from '../page/slider.js';

/** @returns a function for the current settings; `onChange` receives them after every change. */
export function bindSettings(initial: Settings, onChange: (settings: Settings) => void): () => Settings {
  let settings = initial;
  const radios = [...document.querySelectorAll<HTMLInputElement>('input[name="activation"]')];
  const buttons = [...document.querySelectorAll<HTMLButtonElement>('[data-scenario]')];

  const change = (changed: Partial<Settings>) => {
    settings = { ...settings, ...changed };
    showScenario();
    onChange(settings);
  };
  const sliders = (Object.keys(VALUES) as SliderName[]).map((name) => {
    const show = bindSlider(name, VALUES[name], (value) => change({ [name]: value }));
    return () => show(settings[name]);
  });
  for (const radio of radios) radio.addEventListener('change', () => change({ activation: radio.value as Activation }));
  buttons.forEach((button, i) => {
    button.addEventListener('click', () => {
      change(SCENARIOS[i]!.settings);
      showControls();
    });
  });

  function showControls(): void {
    for (const show of sliders) show();
    for (const radio of radios) radio.checked = radio.value === settings.activation;
  }
  function showScenario(): void {
    const chosen = scenarioOf(settings);
    buttons.forEach((button, i) => { button.setAttribute('aria-pressed', String(SCENARIOS[i] === chosen)); });
    setText('scenario-text', chosen?.text ?? 'Your own settings. Every change restarts both networks from the same weights.');
  }

  showControls();
  showScenario();
  return () => settings;
}
