/** The page. What measures runs alone. */
import { bindBatch } from './batch/batch.js';
import { bindFinetune } from './finetune/finetune.js';
import { element } from './page/dom.js';
import { bindCopies, bindShare } from './page/share.js';
import { bindSpeed } from './speed/speed.js';
import { bindTraining } from './training/training.js';

const training = bindTraining();
bindBatch();
const raceButton = element<HTMLButtonElement>('speed-run'), finetuneButton = element<HTMLButtonElement>('finetune-run');
bindSpeed((busy) => {
  training.pauseWhile(busy);
  finetuneButton.disabled = busy;
});
bindFinetune((busy) => {
  training.pauseWhile(busy);
  raceButton.disabled = busy;
});
bindShare(training.query);
bindCopies();
